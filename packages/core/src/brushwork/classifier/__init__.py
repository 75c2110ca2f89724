"""Artist classifiers: network, training views, calibration, identification."""
