"""Job inspection: cost estimates, status, reports and exports."""
