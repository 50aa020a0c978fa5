"""Claims on calibration, noise, attacks and the agreement of trainings."""
