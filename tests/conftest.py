import collections
import gc
import os

import pytest

# TensorFlow's graphs are a million Python objects, which the collector would go through again
# and again: a sixth of the suite's time.
gc.set_threshold(200_000, 50, 1000)

BEGAN, SECONDS = pytest.StashKey[float](), "processor seconds"


@pytest.hookimpl(tryfirst=True)  # before -m is heeded
def pytest_collection_modifyitems(items):
    """Marks the cases of `slow_but(n)` tests as slow, but for n of them, spread evenly.

    The file that takes minutes comes first, or one process would wait for the other at the end.
    """
    items.sort(key=lambda item: "test_shipping" not in item.nodeid)
    tests = collections.defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow_but"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        kept = cases[0].get_closest_marker("slow_but").args[0]
        for i, item in enumerate(cases):
            if i * kept % len(cases) >= kept:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    gc.collect()
    gc.freeze()


def processor_seconds():
    """Returns what this process and its finished children have used, whatever else was running."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    import keras  # not above: --help and --collect-only need none of it

    item.stash[BEGAN] = processor_seconds()
    keras.utils.set_random_seed(0)  # else a test that draws without a seed would fail now and then
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.when == "teardown":
        report.user_properties.append((SECONDS, processor_seconds() - item.stash[BEGAN]))
    return report


def pytest_terminal_summary(terminalreporter, config):
    """With --durations, processor time of the slowest tests and files; budget: tests/README.md."""
    if not config.option.durations:
        return
    tests, files = collections.Counter(), collections.Counter()
    for report in (r for reports in terminalreporter.stats.values() for r in reports):
        seconds = dict(getattr(report, "user_properties", ())).get(SECONDS)
        if seconds is not None and report.when == "teardown":
            tests[report.nodeid] += seconds
            files[report.nodeid.partition("::")[0]] += seconds
    for what, times in (("tests", tests), ("files", files)):
        title = f"processor seconds: {sum(times.values()):.0f} in {len(times)} {what}, the slowest"
        terminalreporter.write_sep("=", title)
        for name, seconds in times.most_common(config.option.durations):
            terminalreporter.write_line(f"{seconds:7.1f} {name}")
