"""Something done wrong for every error that nst_batch makes; see ``world``."""
