"""Events: a ring that nobody can hold up, and positions in it."""

import threading

import pytest

from appliance.control.events import KEPT, Events


def test_events_come_in_order_and_once() -> None:
    """Whoever asks for what came after the last one misses nothing and hears nothing twice."""
    events = Events(clock=lambda: 1000.0)
    seen = events.last()
    events.publish("workload", {"workload": "a"})
    events.publish("program", {"program": "traefik"})
    found, is_whole = events.after(seen)
    assert is_whole
    assert [event.kind for event in found] == ["workload", "program"]
    assert [event.id for event in found] == [seen + 1, seen + 2]
    assert found[0].document() == {"id": seen + 1, "at": 1000.0, "kind": "workload", "workload": "a"}
    assert events.after(found[1].id) == ([], True)
    assert events.after(seen, most=1)[0] == found[:1]


def test_the_last_thousand_are_kept_and_a_gap_is_told() -> None:
    """A reader that was away too long learns that it missed something, and gets what there is."""
    events = Events()
    seen = events.last()
    for number in range(KEPT + 1):
        events.publish("workload", {"workload": str(number)})
    found, is_whole = events.after(seen)
    assert not is_whole
    assert len(found) == KEPT
    assert found[0].content["workload"] == "1"
    assert events.after(seen + 1) == (found, True)


@pytest.mark.parametrize("seen", [0, 10**18])
def test_a_number_that_was_never_given_is_a_gap(seen: int) -> None:
    """Of an earlier process, or made up."""
    events = Events()
    events.publish("workload", {})
    assert events.after(seen)[1] is False


def test_numbers_rise_from_one_process_to_the_next() -> None:
    """So a reader that reconnects after a restart is told of the gap, and not given old for new."""
    first = Events(clock=lambda: 1000.0)
    for _ in range(500):
        first.publish("workload", {})
    assert Events(clock=lambda: 1001.0).last() > first.last()


def test_a_kind_that_nobody_documented_is_a_mistake() -> None:
    """The table of kinds in the operations guide is whole."""
    with pytest.raises(ValueError, match="no kind of event"):
        Events().publish("surprise", {})


def test_who_follows_is_woken_until_they_stop() -> None:
    """From whichever thread the event came."""
    events, woken = Events(), threading.Event()
    stop = events.subscribe(woken.set)
    threading.Thread(target=lambda: events.publish("settings", {})).start()
    assert woken.wait(5)
    woken.clear()
    stop()
    stop()
    events.publish("settings", {})
    assert not woken.is_set()
    assert events.counts()["settings"] == 2
