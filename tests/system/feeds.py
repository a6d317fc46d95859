"""What a router says of one of its feeds, and of the routes that came by it."""

from basics import wait_for

SECONDS = 15  # until a change has come all the way


class FeedView:
    """Of the feed `feed_name` of `router`."""

    feed_name = router = None

    def feed(self):
        return next(feed for feed in self.router.get("/v1/feeds")["feeds"] if feed["name"] == self.feed_name)

    def routes(self):
        """Prefix -> where it leads, of the feed's routes."""
        found = {}
        for route in self.router.get(f"/v1/routes?source={self.feed_name}&limit=10000")["routes"]:
            via = sorted(hop["address"] for hop in route["via"])
            found[route["prefix"]] = via or route["type"]
        return found

    def expect(self, wanted):
        wait_for(lambda: self.routes() == wanted, SECONDS, lambda: f"{wanted}; there are {self.routes()}; {self.feed()}")

    def expect_state(self, state):
        wait_for(lambda: self.feed()["state"] == state, SECONDS, lambda: f"the state {state}; it is {self.feed()}")
