from __future__ import annotations

import pytest
from probe_jobs import Probe, Reader, probes

from warmgap.plan import Node
from warmgap.schema.config import EngineConfig
from warmgap_launchers.choice import Loaded, Queue, Seat, best, kind_of


def asking(key, model, units=4):
    return Node(Probe(key, reader=Reader(model, EngineConfig(name="transformers"))), key, units)


def queue_of(*nodes):
    return Queue({n.key: n for n in nodes})


def loaded(node):
    return Loaded(node.base, node.group)


@pytest.fixture
def models():
    return asking("a", "one", 9), asking("b", "two", 5), asking("c", "one", 1)


def test_a_worker_keeps_to_its_base_though_other_jobs_are_longer(models):
    first, other, same = models
    queue = queue_of(other, same)
    kind, _ = best(queue, [Seat(loaded(first), queue.kinds())], [])
    assert queue.take(kind).key == "c"


def test_of_two_idle_workers_the_one_with_the_base_gets_the_job(models):
    first, other, same = models
    queue = queue_of(same)
    seats = [Seat(loaded(other), queue.kinds()), Seat(loaded(first), queue.kinds())]
    assert best(queue, seats, [])[1] == 1


def test_a_new_worker_takes_a_base_that_none_has_before_a_longer_job(models):
    first, other, same = models
    queue = queue_of(same, other)
    kind, _ = best(queue, [Seat(None, queue.kinds())], [loaded(first)])
    assert queue.take(kind).key == "b"


def test_a_worker_does_not_idle_for_the_sake_of_its_base(models):
    first, other, _ = models
    queue = queue_of(other)
    kind, at = best(queue, [Seat(loaded(first), queue.kinds())], [])
    assert (queue.take(kind).key, at) == ("b", 0)


def test_a_base_stays_in_memory_while_a_place_is_free(models):
    first, other, _ = models
    queue = queue_of(other)
    assert best(queue, [Seat(loaded(first), queue.kinds()), Seat(None, queue.kinds())], [])[1] == 1


def test_nothing_that_fits_is_no_choice():
    assert best(queue_of(), [Seat(None, [])], []) is None


def test_jobs_become_ready_with_their_last_input_and_are_given_once():
    nodes = probes(Probe("a"), Probe("b"), Probe("c", inputs={"x": "a", "y": "b", "z": "elsewhere"}))
    queue = Queue(nodes)
    (kind,) = queue.kinds()
    taken = [queue.take(kind).key, queue.take(kind).key]
    assert taken == ["a", "b"]
    assert queue.kinds() == []
    queue.done("a")
    assert queue.kinds() == []
    queue.done("b")
    assert queue.take(kind_of(nodes["c"])).key == "c"


def test_what_waits_for_a_dropped_job_is_dropped_with_it():
    queue = Queue(
        probes(Probe("a"), Probe("b", inputs={"x": "a"}), Probe("c", inputs={"x": "b"}), Probe("d"))
    )
    assert queue.drop("a") == {"b", "c"}
    assert queue.waiting == {"d"}
    (kind,) = queue.kinds()
    assert queue.take(kind).key == "d"


def test_a_job_may_be_taken_again():
    queue = Queue(probes(Probe("a")))
    (kind,) = queue.kinds()
    queue.take(kind)
    queue.again("a")
    assert queue.take(queue.kinds()[0]).key == "a"
