# SPDX-License-Identifier: Apache-2.0
"""What setup.cfg says, read by pbr."""

import setuptools

setuptools.setup(pbr=True)
