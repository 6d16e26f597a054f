"""Links: duplex byte streams over one transport or another, behind one interface."""
