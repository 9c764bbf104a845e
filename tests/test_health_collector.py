"""What the collector's health checks say becomes the same metric, and the alerts of its page are right."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from needs import ROOT, missing

PAGE = ROOT / "collector-config" / "health" / "README.md"

TEST = """
rule_files: [rules.yml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      # A key is asked for: it is there. The other classes of one answer are 0.
      - {series: 'httpcheck_status{http_url="a",http_status_class="4xx",http_status_code="401"}', values: '1x20'}
      - {series: 'httpcheck_status{http_url="a",http_status_class="5xx",http_status_code="401"}', values: '0x20'}
      # It answered, then nobody did; the series of the answer has expired.
      - {series: 'httpcheck_status{http_url="b",http_status_class="2xx",http_status_code="200"}', values: '1x4 stale'}
      - {series: 'httpcheck_status{http_url="b",http_status_class="2xx",http_status_code="0"}', values: '_x5 0x15'}
      - {series: 'httpcheck_status{http_url="c",http_status_class="5xx",http_status_code="503"}', values: '1x20'}
      - {series: 'httpcheck_status{http_url="c",http_status_class="2xx",http_status_code="503"}', values: '0x20'}
      - {series: 'httpcheck_tls_cert_remaining_seconds{http_url="a"}', values: '864000x200'}
      - {series: 'httpcheck_tls_cert_remaining_seconds{http_url="b"}', values: '8640000x200'}
    promql_expr_test:
      - expr: tollspan_backend_up
        eval_time: 5m
        exp_samples:
          - {labels: 'tollspan_backend_up{http_url="a"}', value: 1}
          - {labels: 'tollspan_backend_up{http_url="b"}', value: 0}
          - {labels: 'tollspan_backend_up{http_url="c"}', value: 0}
    alert_rule_test:
      - eval_time: 6m
        alertname: TollspanBackendUnreachable
        exp_alerts:
          - exp_labels: {severity: critical, team: platform, http_url: b}
            exp_annotations: {summary: b does not answer}
          - exp_labels: {severity: critical, team: platform, http_url: c}
            exp_annotations: {summary: c does not answer}
      - eval_time: 90m
        alertname: TollspanCertificateEnds
        exp_alerts:
          - exp_labels: {severity: warning, team: platform, http_url: a}
            exp_annotations: {summary: the certificate of a ends in 10d 0h 0m 0s}
"""


@pytest.mark.slow
def test_the_rules_of_the_page_are_right(tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or missing("promtool", "not on the PATH (apt: prometheus)")
    (rules,) = re.findall(
        r"^```yaml\n# health-rules.yml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "test.yml").write_text(TEST)
    run = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
