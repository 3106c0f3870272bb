"""IoU family, boundaries, calibration, other conventions, strata and statistics: functions of the per-sample table."""
