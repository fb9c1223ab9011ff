# What single tests need beyond the program's libraries.
TESTLINK_test_tls := -lgnutls
