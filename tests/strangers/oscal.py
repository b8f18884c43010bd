"""Reads OSCAL documents with compliance-trestle, and has all of its validators look at them.

    oscal.py PLAN.json RESULTS.json…

Says of each of the results, in a line, whether they are accepted.
"""

import sys
from pathlib import Path

from trestle.core.base_model import OscalBaseModel
from trestle.core.validator_factory import validator_factory
from trestle.oscal.assessment_plan import AssessmentPlan
from trestle.oscal.assessment_results import AssessmentResults


def check(path: Path, model: type[OscalBaseModel]) -> OscalBaseModel:
    document = model.oscal_read(path)
    if document is None:
        raise ValueError(f"{path.name}: there is no such file")
    for validator in validator_factory.get_all():
        if not validator.model_is_valid(document, True, None):
            raise ValueError(f"{path.name}: {validator.error_msg()}")
    return document


def check_both(results_path: Path, plan_path: Path) -> None:
    results = check(results_path, AssessmentResults)
    check(plan_path, AssessmentPlan)
    if results.import_ap.href != plan_path.name:
        raise ValueError(f"the results import `{results.import_ap.href}`, which is not the plan beside them")


def main(plan_path: str, *results_paths: str) -> int:
    refused = 0
    for path in results_paths:
        try:
            check_both(Path(path), Path(plan_path))
            print(f"accepted {path}")
        # trestle has an exception of its own for every layer; whatever it is, the document was not accepted.
        except Exception as error:  # noqa: BLE001
            print(f"refused {path}: {' '.join(str(error).split())}")
            refused = 1
    return refused


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
