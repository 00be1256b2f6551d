import dataclasses

import pytest

from vae_tf.profiling import TrainingProfile

PLAIN = TrainingProfile(
    data=1.0,
    encoder=2.0,
    decoder=2.0,
    loss=1.0,
    backward=3.0,
    optimizer=0.5,
    overhead=0.5,
    step=10.0,
    step_range=(9.0, 11.0),
    data_alone=1.5,
    batch_size=100,
    steps_per_execution=20,
    compute_dtype="float32",
    gflop=0.5,
    peaks={"float32": 100.0, "bfloat16": 110.0},
    rounds=3,
)


def test_nothing_stands_out():
    (said,) = PLAIN.advice
    assert said.startswith("Nothing stands out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": 5.0, "step": 14.0}, "36% of a step is waiting for data"),
        ({"overhead": 5.0, "step": 14.5}, "try a larger batch (--batch-size 200):"),
        ({"optimizer": 9.5, "step": 19.0}, "50% of a step is the optimizer's update"),
        ({"loss": 11.0, "step": 20.0}, "fewer --prior-components"),
        ({"peaks": {"float32": 100.0, "bfloat16": 310.0}}, "3.1 times as fast in bfloat16"),
        ({"step_range": (4.0, 11.0)}, "Profile again when it is idle"),
    ],
)
def test_each_rule_alone(change, words):
    (said,) = dataclasses.replace(PLAIN, **change).advice
    assert words.rstrip(":") in said


def test_rules_know_what_was_done_already():
    overhead = {"overhead": 5.0, "step": 14.5}
    (said,) = dataclasses.replace(PLAIN, **overhead, steps_per_execution=1).advice
    assert "compile(steps_per_execution=20)" in said
    (said,) = dataclasses.replace(PLAIN, **overhead).advice
    assert "steps_per_execution" not in said
    half = {"compute_dtype": "bfloat16", "peaks": {"float32": 100.0, "bfloat16": 310.0}}
    (said,) = dataclasses.replace(PLAIN, **half).advice
    assert said.startswith("Nothing stands out")


def test_the_arithmetic():
    assert PLAIN.examples_per_second == pytest.approx(10_000)  # 100 in 10 ms
    assert PLAIN.gflops == pytest.approx(50)  # 0.5 in 10 ms
    assert PLAIN.share_of_peak == pytest.approx(0.5)
    assert PLAIN.share("encoder") == pytest.approx(0.2)
