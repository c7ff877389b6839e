namespace MicroVm;

/// <summary>A device of a running machine.</summary>
/// <param name="Id">What the user calls it (<see cref="VirtioOptions.Id"/>), or null.</param>
/// <param name="Kind">What it is: <c>virtio-block</c>.</param>
/// <param name="Place">Where the guest finds it: <c>virtio-mmio[0]</c>, or a PCI address such as <c>00:01.0</c>.</param>
public sealed record DeviceInfo(string? Id, string Kind, string Place);
