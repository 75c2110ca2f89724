"""The layer that doubles the sides of feature maps, in the generator and in the enlarger.

N images, C and C' channels, H x W size of a feature map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_FOLDED_SIDE = 16


class UpsamplingConvolution(nn.Sequential):
    """Double the sides by repeating pixels, and convolve: (N, C, H, W) to (N, C', 2 H, 2 W).

    Both together are one transposed convolution by 4 x 4, which takes 4 instead of 9 products per
    output and reads a quarter of the pixels. On small maps it is not faster, because these have few
    pixels and many weights. The two layers of the sequence define the result; their names
    are names of saved tensors.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve feature maps `x` (N, C, H, W)."""
        if x.shape[-1] < MIN_FOLDED_SIDE:
            return super().forward(x)
        kernel = fold_upsampling(self.get_parameter("1.weight"))
        return F.conv_transpose2d(x, kernel, stride=2, padding=1)


def fold_upsampling(kernel: Tensor) -> Tensor:
    """Compute the transposed convolution that doubles the sides and then convolves.

    Two neighbouring outputs of an input pixel share it: where the 3 x 3 kernel covers the pixel and
    its copy, their weights add up. With stride 2 and padding 1 the result is exact, at borders too.

    Args:
        kernel: of a convolution by 3 x 3 with padding 1, (C', C, 3, 3).

    Returns:
        The kernel of the transposed convolution, (C, C', 4, 4).

    >>> fold_upsampling(torch.arange(9.0).view(1, 1, 3, 3))[0, 0, 0]  # 8; 7 + 8; 6 + 7; 6
    tensor([ 8., 15., 13.,  6.])
    """
    for dim in (2, 3):
        first, second, third = kernel.unbind(dim)
        kernel = torch.stack([third, second + third, first + second, first], dim)
    return kernel.transpose(0, 1).contiguous(memory_format=torch.channels_last)
