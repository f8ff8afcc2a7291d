"""What stands still is found however often it is struck: an excuse stops its clock and does not wind it back."""

from aiokafka import TopicPartition

from tests.fault.watch import EXCUSED_SECONDS, STUCK_SECONDS, Seen, Watch, seen_in

SERVICES = {"training": "", "selection": ""}
STILL: Seen = {("training", "applied/3"): (True, 7), ("training", "applied/4"): (False, 9)}


def watch(seconds: int, blows: dict[int, str], *, moves: bool = False) -> Watch:
    """A look a second at a lane in which something waits, and a blow at each of these seconds."""
    watching = Watch()
    for second in range(seconds):
        if second in blows:
            watching.excuse(blows[second], SERVICES, second)
        seen: Seen = {place: (waits, second if moves else at) for place, (waits, at) in STILL.items()}
        watching.look("training", seen, second)
    return watching


def test_a_lane_that_waits_for_a_minute_is_found_by_its_name() -> None:
    watching = watch(int(STUCK_SECONDS) + 3, {})
    (words,) = watching.stuck
    assert "training applied/3" in words
    assert watching.watched["training"] == STUCK_SECONDS + 2


def test_a_lane_that_moves_is_not() -> None:
    assert watch(300, {}, moves=True).stuck == []


def test_a_blow_excuses_only_whom_it_keeps_from_moving_and_only_for_a_while() -> None:
    seconds = int(STUCK_SECONDS) + 3
    assert watch(seconds, {5: "selection", 20: "selection worker", 40: "training api"}).stuck
    for group in ("training", "postgres", "training relay"):
        assert not watch(seconds, {10: group}).stuck
        assert watch(seconds + int(EXCUSED_SECONDS), {10: group}).stuck


def test_a_blow_every_twenty_seconds_hides_nothing_for_long() -> None:
    assert watch(120, dict.fromkeys(range(0, 120, 20), "kafka")).stuck


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    watching = Watch()
    for second in range(100):
        watching.look("training", None, second)
    assert (watching.stuck, watching.watched) == ([], {})


def test_one_lane_stands_still_while_the_others_move() -> None:
    row = {"places": '[["applied", 0, 5], ["applied", 1, 8]]', "unsent": False, "xid": "1", "position": 2}
    ends = {TopicPartition("applied", lane): 8 for lane in range(3)}
    assert seen_in("training", row, ends) == {
        ("training", "outbox"): (False, "1/2"),
        ("training", "applied/0"): (True, 5),
        ("training", "applied/1"): (False, 8),
        ("training", "applied/2"): (True, 0),
    }
