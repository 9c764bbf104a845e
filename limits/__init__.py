"""What a call may do before it leaves: budgets, retries, circuits, and the health they rest on."""
