"""What can be asked of an export: signatures, and the graphs behind them."""
