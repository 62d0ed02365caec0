"""A failure mode on the terminal, over any number of seeds: what the examples run."""

import argparse

from actloss_rs.demo.failure_modes import MODES, FailureMode, run


def mode_named(name: str) -> FailureMode:
    """The failure mode of this name."""
    return next(mode for mode in MODES if mode.name == name)


def main(name: str, *, cured_above: float, sick_below: float) -> None:
    """Train the sick network and its cures; say what the monitor says; fail where it is wrong.

    The accuracy of each cure on unseen digits must be above one bound, that of the sick network below the
    other, for every seed.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1, help="so many runs of each")
    seeds = range(parser.parse_args().seeds)
    mode = mode_named(name)
    print(f"{mode.title}\n{mode.text}\n")
    for setting in (mode.sick, *mode.cures):
        print(setting.title)
        for seed in seeds:
            outcome = run(setting, seed)
            first, last = outcome.losses[0], outcome.losses[-1]
            print(f"  loss {first:.3g} to {last:.3g}, {outcome.accuracy:.1%} of unseen digits right")
            for diagnosis in outcome.diagnoses:
                print(f"  {diagnosis}")
            if setting is mode.sick:
                assert mode.diagnosis in outcome.names, (seed, outcome.names)
                assert outcome.accuracy < sick_below, (seed, outcome.accuracy)
            else:
                assert not outcome.names, (seed, outcome.names)
                assert outcome.accuracy > cured_above, (seed, outcome.accuracy)
        print()
