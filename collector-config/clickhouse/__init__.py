"""The ledger's tables and views, once, for a ClickHouse server and for the embedded one."""
