"""What stands between a connection and the routes, as plain ASGI: nothing here keeps a request from being cancelled."""
