"""ReLUs killed by a large learning rate, saved by a smaller one, and by leaky_relu.

    python examples/failure_modes/dying_relus.py [--seeds 20]

What is trained is in actloss_rs/demo/failure_modes.py, what it is trained with in actloss_rs/training.
"""

from actloss_rs.demo.narrate import main

main("dying-relus", sick_below=0.5, cured_above=0.8)
