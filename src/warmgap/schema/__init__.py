"""Typed configuration and the columns of every table."""

from .config import Config as Config
from .fields import STAGES as STAGES
from .fields import stage_config as stage_config
