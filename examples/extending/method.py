"""A method of your own: --set distill.method=method:fused_first"""

from ffl_ray.config.methods import Method, made_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


@made_of(Method(head="fusion", temperature=2.0, ramp_up=0.1))
def fused_first(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Every classifier learns from the labels, and the ensemble from the fused classifier."""
    assert output.fused is not None
    value = distillation_kl(output.ensemble, output.fused, temperature=settings.temperature)
    taught = {"own.0": Term(value, settings.weight, schedule="ramp")}
    return cross_entropies(output, labels, settings) | taught
