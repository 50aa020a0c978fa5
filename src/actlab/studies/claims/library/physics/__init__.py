"""Claims on differential equations and on signals as functions of coordinates."""
