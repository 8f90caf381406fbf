# SPDX-License-Identifier: Apache-2.0
"""What nova-watch shows of the services, and of what happens to them."""
