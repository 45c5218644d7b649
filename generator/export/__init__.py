"""An API as a project that runs without Sandgate."""
