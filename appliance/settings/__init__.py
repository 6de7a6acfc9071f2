"""The operator's settings: `gateway.yaml` plus environment variables, checked as a whole before anything uses them.

fields    the kinds of values, and how they are written
sections  the closed model of all settings
meaning   what settings mean to the rules: values of the model
loading   from file and environment to a model, or to one line a fault
"""

from appliance.settings.fields import split_endpoint
from appliance.settings.loading import DEFAULT_FILE, find, load, parse
from appliance.settings.sections import Acme, Public, Settings

__all__ = ["DEFAULT_FILE", "Acme", "Public", "Settings", "find", "load", "parse", "split_endpoint"]
