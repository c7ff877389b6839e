namespace MicroVm.Diagnostics;

/// <summary>What the host's kernel offers to devices. This version uses none of it yet; missing means that a later feature will not work here.</summary>
internal static class DeviceProbes
{
    private const string Group = "Devices";

    internal static readonly DoctorProbe[] All =
    [
        Node("tun", "/dev/net/tun", "tun", "tap interfaces for networking"),
        Node("vhost-net", "/dev/vhost-net", "vhost_net", "networking in the host's kernel"),
        Node("vhost-vsock", "/dev/vhost-vsock", "vhost_vsock", "vsock in the host's kernel"),
    ];

    private static DoctorProbe Node(string name, string path, string module, string meaning) => new(name, Group, Needed: false, host =>
        host.Exists(path) ? DoctorFinding.Ok($"{path}: {meaning}") : DoctorFinding.Missing($"no {path}: {meaning}", $"modprobe {module}"));
}
