"""Whether an observation says that an action is possible."""

from __future__ import annotations

import jsonschema

from seal_agent.agents.environments.environment import Action, Observation


def is_possible(action: Action, shown: Observation) -> bool:
    """Whether one of the tools, as they can be called now, takes these arguments."""
    shapes = {tool["function"]["name"]: tool["function"]["parameters"] for tool in shown.calls}
    if action.name not in shapes:
        return False
    return bool(jsonschema.Draft202012Validator(shapes[action.name]).is_valid(dict(action.arguments)))
