"""The load balancer by the name it always had. Only re-exports."""

from vumi.dispatchers.routers.load_balancing import LoadBalancingRouter

__all__ = ["LoadBalancingRouter"]
