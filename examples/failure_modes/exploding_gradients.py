"""Initial weights that are too large: gradients explode, and batch_norm or clip_by_global_norm tames them.

    python examples/failure_modes/exploding_gradients.py [--seeds 20]

What is trained is in actloss_rs/demo/failure_modes.py, what it is trained with in actloss_rs/training.
"""

from actloss_rs.demo.narrate import main

main("exploding-gradients", sick_below=0.25, cured_above=0.8)
