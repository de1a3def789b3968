"""Small requests to AWS over kept connections, signed here, without boto: for shortcuts of clients and migrations."""
