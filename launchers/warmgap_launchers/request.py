"""From overrides to a plan: one composition per arm and one per option of each row axis."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from warmgap.checks import check_settings
from warmgap.compile import compile_plan
from warmgap.errors import UserError, did_you_mean
from warmgap.plan import Plan, renamed
from warmgap.schema.config import Config, EngineConfig, ModelConfig, StyleConfig
from warmgap.sweep import ArmConfig, Sweep
from warmgap_launchers.asked import command_of
from warmgap_launchers.mixing import Composed, composed_together, stands_alone
from warmgap_launchers.overrides import (
    ARM_AXES,
    ROW_AXES,
    Axis,
    Choices,
    axis,
    check,
    parse,
    sweep_axes,
    sweepable,
)
from warmgap_launchers.resources import check_cluster
from warmgap_launchers.yamls import reading_once

NAMING_AXES = ("model", "method", "seed", "method.checkpoint")
"""Arm axes that have a column of their own; every other one stands in `variant`."""


class Request:
    """A command line, read: what is fixed, what is swept, and the plan that follows.

    Arms are composed configurations, cells are rows.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> None:
        self._loader = reading_once(loader)
        self._config = config
        self._arguments = list(arguments)
        sources = config.hydra.runtime.config_sources
        self._choices = Choices([Path(s.path) for s in sources if s.schema == "file"])
        self._known: dict[tuple[str, ...], Composed] = {}
        self._axes, self._fixed = self._read()
        self.base = self._compose(self._fixed)
        self._alone: dict[tuple[str, str], DictConfig] = {}

    def _read(self) -> tuple[list[Axis], list[str]]:
        fixed: list[str] = []
        axes: list[Axis] = []
        mentioned: set[str] = set()
        for override in check(self._arguments, self._choices):
            swept = axis(override, self._choices)
            mentioned.add(override.key_or_group)
            if swept is None:
                fixed.append(str(override.input_line))
            else:
                axes.append(swept)
        declared = OmegaConf.to_container(self._config.sweep, resolve=True)
        assert isinstance(declared, dict)
        own = {str(k): v for k, v in declared.items() if k not in mentioned}
        axes += sweep_axes(own, self._choices)
        for each in axes:
            sweepable(each.key)
        self._mentioned = mentioned | {each.key for each in axes}
        return axes, fixed

    def _together(self) -> dict[tuple[str, str], DictConfig]:
        """Settings of the swept options that depend on no other choice."""
        groups = {*self._choices.groups()} & {*ROW_AXES, *ARM_AXES}
        alone = {
            a.key: [*dict.fromkeys(a.values)]
            for a in self._axes
            if a.key in groups and all(stands_alone(self._loader, a.key, v) for v in a.values)
        }
        return composed_together(alone, self._fixed, self._with_choices)

    def plan(self) -> Plan:
        """The sweep's plan.

        Raises:
            UserError: an option that cannot be run.
        """
        axes, fixed, base = self._axes, self._fixed, self.base
        self._check_methods(base)
        self._alone = self._together()
        check_cluster(base.cluster, self._choices.options("model"))
        arms = self._arms([a for a in axes if a.key not in ROW_AXES], fixed)
        rows = {key: self._options(key, axes, fixed) for key in ROW_AXES}
        seen = {"method": [base.method.name]} | {k: [getattr(base, k).name] for k in ("model", *ROW_AXES)}
        sweep = Sweep(
            name=base.name,
            arms=tuple(arms),
            tasks=tuple(c.task for c in rows["task"]),
            framings=tuple(c.framing for c in rows["framing"]),
            beliefs=tuple(c.belief for c in rows["belief"]),
            judges=tuple(c.judge for c in rows["judge"]),
            model_of=self._model,
            engine_of=self._engine,
            style_of=self._style,
            axes=seen | {a.key: list(a.values) for a in axes},
            command=command_of(self._arguments),
        )
        plan = compile_plan(sweep)
        if base.name:
            return plan
        return renamed(plan, f"adhoc-{plan.key[:8]}")

    def _check_methods(self, base: Config) -> None:
        """Refuse a setting for a method that does not exist; one that is merely not swept may stay."""
        known = self._choices.options("method")
        for key, names in (
            ("doses", base.doses),
            ("sampling.extra_draws", base.sampling.extra_draws),
            ("warmth.checkpoints", base.warmth.checkpoints),
            ("warmth.skip", base.warmth.skip),
            ("warmth.gate.override", base.warmth.gate.override),
        ):
            for name in names:
                method = re.split("[@:]", str(name))[0]
                if method not in known:
                    raise UserError(f"{key} names the method '{method}'.{did_you_mean(method, known)}")

    def _own_settings(self, model: str) -> list[str]:
        """What `per_model` sets for a model's arms; what the command line or a sweep sets goes before it.

        Raises:
            UserError: a model or a setting that does not exist, or one that is no arm's.
        """
        known = self._choices.options("model")
        for name in self.base.per_model:
            if name not in known:
                raise UserError(f"per_model names the model '{name}'.{did_you_mean(name, known)}")
        settings = check(self.base.per_model.get(model, []), self._choices)
        for setting in settings:
            key = setting.key_or_group
            if setting.is_sweep_override() or key in ("model", "seed") or key.split(".")[0] not in ARM_AXES:
                raise UserError(
                    f"per_model.{model} has '{setting.input_line}'. Allowed: single values of "
                    f"{', '.join(a for a in ARM_AXES if a not in ('model', 'seed'))} and of their keys."
                )
        return [str(s.input_line) for s in settings if s.key_or_group not in self._mentioned]

    def _options(self, key: str, axes: Sequence[Axis], fixed: Sequence[str]) -> list[Config]:
        values = next((a.values for a in axes if a.key == key), None)
        if values is None:
            return [self.base]
        return [_typed(self._chosen(fixed, (), {key: v})) for v in dict.fromkeys(values)]

    def _arms(self, axes: Sequence[Axis], fixed: Sequence[str]) -> list[ArmConfig]:
        groups = set(self._choices.groups())
        by_group = [a for a in axes if a.key in groups]
        by_value = [a for a in axes if a.key not in groups]
        arms = []
        for choice in itertools.product(*(dict.fromkeys(a.values) for a in by_group)):
            chosen = [f"{a.key}={v}" for a, v in zip(by_group, choice, strict=True)]
            models = [v for a, v in zip(by_group, choice, strict=True) if a.key == "model"]
            own = self._own_settings(models[0] if models else self.base.model.name)
            composed = self._chosen(fixed, own, {a.key: v for a, v in zip(by_group, choice, strict=True)})
            for values in itertools.product(*(dict.fromkeys(a.values) for a in by_value)):
                config = composed.copy()
                settings = [f"{a.key}={v}" for a, v in zip(by_value, values, strict=True)]
                for setting in parse(settings):
                    OmegaConf.update(config, setting.key_or_group, setting.value())
                named = [s for s in (*chosen, *settings) if s.split("=", 1)[0] not in NAMING_AXES]
                arms.append(ArmConfig(_typed(config), ",".join(named)))
        return arms

    def _chosen(self, fixed: Sequence[str], own: Sequence[str], options: Mapping[str, str]) -> DictConfig:
        """The configuration with options of groups, put together from what was composed if it can be."""
        if own or not all(option in self._alone for option in options.items()):
            return self._composed([*fixed, *own, *(f"{k}={v}" for k, v in options.items())])
        config = self._composed(fixed).copy()
        for option in options.items():
            config[option[0]] = self._alone[option]
        return config

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        return self._with_choices(overrides)[0]

    def _with_choices(self, overrides: Sequence[str]) -> Composed:
        at = tuple(overrides)
        if at not in self._known:
            config = self._loader.load_configuration(
                config_name=self._config.hydra.job.config_name, overrides=[*at], run_mode=RunMode.RUN
            )
            choices = {str(k): str(v) for k, v in config.hydra.runtime.choices.items()}
            with open_dict(config):
                del config["hydra"]
            self._known[at] = config, choices
        return self._known[at]

    def _model(self, name: str) -> ModelConfig:
        """A model as its yaml has it: the reference of a meter does not follow the arms' overrides."""
        check([f"model={name}"], self._choices)
        return self._compose([f"model={name}"]).model

    def _engine(self, name: str) -> EngineConfig:
        """An engine for a judge: its yaml, with what experiment and command line say of engines' settings."""
        check([f"engine={name}"], self._choices)
        kept = [f for f in self._fixed if f.lstrip("+").startswith(("engine.", "experiment="))]
        return self._compose([*kept, f"engine={name}"]).engine

    def _style(self, name: str) -> StyleConfig:
        """A style as its yaml has it; a method names it, so no override speaks of one."""
        check([f"style={name}"], self._choices)
        return self._compose([f"+style={name}"]).style

    def _compose(self, overrides: Sequence[str]) -> Config:
        return _typed(self._composed(overrides))


def _typed(config: DictConfig) -> Config:
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"no value for {missing[0]}. Set it in the yaml or on the command line.")
    out: Any = OmegaConf.to_object(config)
    assert isinstance(out, Config), type(out)
    check_settings(out)
    return out
