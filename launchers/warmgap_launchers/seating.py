"""Which worker the next job goes to, where jobs may take several places or need a device."""

from __future__ import annotations

from collections.abc import Sequence

from warmgap_launchers.choice import Kind, Queue, Seat, best
from warmgap_launchers.crew import Crew, Worker


def next_seat(queue: Queue, crew: Crew) -> tuple[Worker, Kind] | None:
    """A worker, started if need be, and the kind of job that it does next; None where none can begin."""
    kinds = queue.kinds()
    spared = False
    for order in sorted({k.order for k in kinds}):
        first = [k for k in kinds if k.order == order and not (spared and k.on_device)]
        if found := _seat_of(queue, crew, first, spared):
            return found
        # A job of several places waits until they are free: later stages must not take them.
        wide = [k for k in first if crew.width(k.width, k.on_device) > 1]
        if any(not (k.on_device and crew.n_devices) for k in wide):
            return None
        spared = spared or bool(wide)
    return None


def _seat_of(queue: Queue, crew: Crew, kinds: Sequence[Kind], spared: bool) -> tuple[Worker, Kind] | None:
    """The best job of these kinds with the best worker; `spared` leaves places with a device alone."""
    idle = [w for w in crew.idle if not (spared and any(w.places))]
    free = {p for p in crew.free if not (spared and p)}

    def fit(places: Sequence[str]) -> list[Kind]:
        return [
            k
            for k in kinds
            if crew.width(k.width, k.on_device) == len(places) and crew.suit(places, k.on_device)
        ]

    seats = [Seat(w.loaded, fit(w.places)) for w in idle]
    if free:
        seats.append(Seat(None, {k for p in free for k in fit((p,))}))
    found = best(queue, seats, [w.loaded for w in crew.busy])
    if found:
        kind, at = found
        return (idle[at] if at < len(idle) else crew.open(kind.on_device)), kind
    if spared:
        return None
    for kind in sorted(kinds, key=lambda k: (-queue.units(k), queue.place(k))):
        worker = crew.gather(crew.width(kind.width, kind.on_device), kind.on_device)
        if worker is not None:
            return worker, kind
    return None
