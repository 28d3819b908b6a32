"""The start of a command on Ray: Ray started or joined, the data opened, a plan for both."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError
from ffl_ray.orchestration.mps import start_mps
from ffl_ray.orchestration.ray_setup import cluster_machines, prepare_environment, start_ray
from ffl_ray.orchestration.remote import with_data
from ffl_ray.planning.data_check import check_shares, data_facts
from ffl_ray.planning.layout import Machines, Plan, available_cpus, check_cpus, make_plan
from ffl_ray.planning.spare_cpus import spare_cpus
from ffl_ray.results.storage.storage import Storage


def start(
    address: str | None,
    config: Config,
    search: SearchConfig,
    storage: Storage,
    *,
    final: bool = False,
) -> tuple[Plan, DataFacts]:
    """Start Ray here and open the data meanwhile; or join a cluster, and open it there.

    Args:
        storage: of the study, which may be there already.
        final: for final runs, as `data_facts` takes it.

    Raises:
        PlanError: one trial or the data do not fit, or no cluster answers.
        DataError: the data can't be used.
    """
    if address is not None:
        plan = _start_ray(address, config, search)
        facts = with_data(facts_of, flatten(config), final)
    else:
        needed = search.cpus_per_trial or search.num_workers
        check_cpus(needed, search.num_workers, Machines(available_cpus(), 0))
        spare = spare_cpus(search, storage)
        with ThreadPoolExecutor(max_workers=1) as pool:
            opening = pool.submit(data_facts, config, final)
            plan = _start_ray(None, config, search, spare)
            facts = opening.result()
    check_shares(config, plan.num_workers, facts, final=final)
    return plan, facts


def facts_of(settings: dict[str, object], final: bool) -> DataFacts:
    """The facts of the data of a config, flat, as `data_facts` has them."""
    return data_facts(with_overrides(Config(), settings), final)


def _start_ray(
    address: str | None, config: Config, search: SearchConfig, spare: int | None = None
) -> Plan:
    prepare_environment(local=address is None)
    if search.mps:
        if address is not None:
            raise PlanError(
                "search.mps must be false with --address, not true: each node starts its own"
            )
        start_mps(os.environ["RAY_TMPDIR"])
    start_ray(address)
    return make_plan(
        search,
        cluster_machines()._replace(spare_cpus=spare),
        device=config.compute.device,
        elastic=address is not None,
    )
