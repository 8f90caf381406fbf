# SPDX-License-Identifier: Apache-2.0
"""The live board: a page that shows what a mirror of the services sees."""
