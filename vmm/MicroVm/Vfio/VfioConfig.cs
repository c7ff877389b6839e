using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>The hardware's configuration space, through VFIO.</summary>
internal sealed class VfioConfig
{
    private const int Length = 4096;

    private readonly IVfioDevice _device;
    private readonly VfioRegion _region;

    internal VfioConfig(IVfioDevice device)
    {
        _device = device;
        _region = device.Region(VfioAbi.ConfigRegion);
    }

    /// <summary>All of it as it is now; what the device does not have is 0.</summary>
    internal byte[] Image()
    {
        byte[] image = new byte[Length];
        for (uint at = 0; at < Math.Min(_region.Length, Length); at += sizeof(uint)) BitConverter.TryWriteBytes(image.AsSpan((int)at), Read(at, sizeof(uint)));
        return image;
    }

    /// <summary>Reads 1, 2 or 4 bytes; all ones from a device that has gone away.</summary>
    internal uint Read(uint offset, int width) => _device.TryRead(_region, offset, width, out ulong value) ? (uint)value : uint.MaxValue;

    /// <summary>Writes 1, 2 or 4 bytes.</summary>
    internal void Write(uint offset, int width, uint value) => _ = _device.TryWrite(_region, offset, width, value);
}
