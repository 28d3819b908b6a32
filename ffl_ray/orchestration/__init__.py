"""Trials and final trainings on Ray."""
