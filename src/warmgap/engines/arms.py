"""A base model in memory that becomes each of its arms in turn, bit for bit as if read anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from warmgap.errors import UserError
from warmgap.models import adapters, steering
from warmgap.models.base import Loaded
from warmgap.models.exact import AsLoaded, Exact

from .protocol import Change

_Updates = dict[str, list[tuple[adapters.LoraFactors, float]]]
_Shifts = list[tuple[steering.SteeringVector, float]]


class Arms:
    """The arms of one base.

    Only weights that a change touches are computed: exact value, changes in fp32 in their order, rounded
    once. One layer at a time is in fp32 on the device.

    Args:
        loaded: the untouched base.
        exact: its weights before they were rounded; None if they were not.
    """

    def __init__(self, loaded: Loaded, exact: Exact | None = None) -> None:
        self._model: Any = loaded.model
        self._exact = exact or AsLoaded()
        self._changes: tuple[Change, ...] | None = ()
        self._touched: dict[str, None] = {}
        self._undo: list[Callable[[], Any]] = []

    def become(self, changes: Sequence[Change]) -> None:
        """Hold the base with these changes and no others; none gives back the untouched base.

        Raises:
            UserError: a change that cannot be read or does not fit; the weights are then as before.
        """
        wanted = tuple(changes)
        if wanted == self._changes:
            return
        updates, shifts = self._read(wanted)
        self._changes = None  # until all is done: what is broken off must not pass for an arm
        while self._undo:
            self._undo.pop()()
        self._touched |= dict.fromkeys(updates)
        self._update(updates)
        self._touched = dict.fromkeys(updates)
        self._shift(shifts)
        self._changes = wanted

    def _read(self, changes: Sequence[Change]) -> tuple[_Updates, _Shifts]:
        updates: _Updates = {}
        shifts: _Shifts = []
        for change in changes:
            if (change.folder / steering.FILE).is_file():
                vector = steering.read_steering(change.folder)
                steering.bias_holder(self._model, vector)  # refuses another model's
                if change.amount:
                    shifts.append((vector, change.amount))
            elif (change.folder / adapters.FILE).is_file():
                for name, factors in adapters.fitting(self._model, change.folder).items():
                    updates.setdefault(name, []).append((factors, change.amount))
            else:
                raise UserError(
                    f"the folder '{change.folder}' changes no weights: it holds neither {adapters.FILE} nor "
                    f"{steering.FILE}. Allowed: an adapter in PEFT's format or a steering vector"
                )
        return updates, shifts

    @torch.no_grad()
    def _update(self, updates: Mapping[str, Sequence[tuple[adapters.LoraFactors, float]]]) -> None:
        for name in self._touched:
            weight = self._model.get_submodule(name).weight
            weight_OI = self._exact(f"{name}.weight", weight)
            for factors, scale in updates.get(name, ()):
                weight_OI = factors.added_to(weight_OI, scale)
            weight.data = weight_OI.to(weight.dtype)

    def _shift(self, shifts: _Shifts) -> None:
        biases: dict[torch.nn.Linear, torch.Tensor] = {}
        for vector, c in shifts:
            down = steering.bias_holder(self._model, vector)
            if down is None:
                self._undo.append(steering.add_hook(self._model, vector, c).remove)
            else:
                before_D = biases[down] if down in biases else self._exact_bias(down)
                biases[down] = steering.shifted(before_D, vector, c)
        for down, bias_D in biases.items():
            self._undo.append(partial(setattr, down, "bias", down.bias))
            bias_D = bias_D.to(down.weight.device, down.weight.dtype)
            down.bias = torch.nn.Parameter(bias_D, requires_grad=False)

    def _exact_bias(self, layer: torch.nn.Linear) -> torch.Tensor | None:
        if layer.bias is None:
            return None
        name = next(name for name, module in self._model.named_modules() if module is layer)
        return self._exact(f"{name}.bias", layer.bias)
