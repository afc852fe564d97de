"""The artifact store: in a directory or a bucket, told from what lies in its place, waited for; and the records of attempts."""
