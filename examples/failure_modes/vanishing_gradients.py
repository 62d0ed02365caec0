"""A network of twelve layers of sigmoids that does not learn, and its twin of ReLUs that does.

    python examples/failure_modes/vanishing_gradients.py [--seeds 20]

What is trained is in actloss_rs/demo/failure_modes.py, what it is trained with in actloss_rs/training.
"""

from actloss_rs.demo.narrate import main

main("vanishing-gradients", sick_below=0.25, cured_above=0.8)
