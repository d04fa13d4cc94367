"""Who a machine is on the wire, whom it trusts, and how two machines come to trust each other."""
