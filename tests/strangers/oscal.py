"""Reads OSCAL documents with compliance-trestle, and has all of its validators look at them.

    oscal.py RESULTS.json PLAN.json
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


def main(results_path: str, plan_path: str) -> int:
    try:
        results = check(Path(results_path), AssessmentResults)
        check(Path(plan_path), AssessmentPlan)
        imported = results.import_ap.href
        if imported != Path(plan_path).name:
            raise ValueError(f"the results import `{imported}`, which is not the plan beside them")
    # trestle has an exception of its own for every layer; whatever it is, the document was not accepted.
    except Exception as error:  # noqa: BLE001
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
