"""The gate: no revision becomes active before it has shown that it learned, and that it did no harm."""

from seal_agent.adaptation.gate.decision import Decision as Decision
from seal_agent.adaptation.gate.decision import Gate as Gate
from seal_agent.adaptation.gate.decision import KeepAll as KeepAll
from seal_agent.adaptation.gate.decision import MinimumGain as MinimumGain
