"""What several kinds of tests share: brokers, certificates, publishers."""
