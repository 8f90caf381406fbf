# SPDX-License-Identifier: Apache-2.0
"""A whole registry in one process, to see it move."""
