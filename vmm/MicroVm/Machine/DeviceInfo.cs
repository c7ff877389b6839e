namespace MicroVm;

/// <summary>A device of a running machine.</summary>
/// <param name="Id">What the user calls it (<see cref="VirtioOptions.Id"/>), or null.</param>
/// <param name="Kind">What it is: <c>virtio-block</c>.</param>
/// <param name="Place">Where the guest finds it: <c>virtio-mmio[0]</c>, or a PCI address such as <c>00:01.0</c>.</param>
public sealed record DeviceInfo(string? Id, string Kind, string Place)
{
    /// <summary>What it is on the host: the path of its image or socket, its tap, its PCI address; null for a device
    /// that has nothing there.</summary>
    public string? Host { get; init; }

    /// <summary>What serves it: <c>io_uring</c>, <c>vhost-user</c>, <c>vfio container</c>; null where this process
    /// alone does.</summary>
    public string? Backend { get; init; }

    /// <summary>Name of the threads of this process that do, as <c>/proc/PID/task/*/comm</c> and <c>top -H</c> show it;
    /// null for none.</summary>
    public string? Thread { get; init; }
}
