using System.Buffers.Binary;
using MicroVm.Kvm;
using MicroVm.Vfio;

namespace MicroVm.Tests.Vfio;

/// <summary>A device made of bytes: keeps what is written to it, and a list of what happened.</summary>
internal sealed class FakeVfioDevice : IVfioDevice
{
    private readonly Dictionary<uint, byte[]> _regions = new() { [VfioAbi.ConfigRegion] = new byte[4096] };

    public byte[] Config => _regions[VfioAbi.ConfigRegion];

    public List<string> Log { get; } = [];

    public uint Vectors { get; set; } = 4;

    public bool FixedSize { get; set; } = true;

    public bool CanReset => true;

    /// <summary>Gives the device a BAR of memory.</summary>
    public byte[] AddBar(int index, int length)
    {
        _regions[(uint)index] = new byte[length];
        return _regions[(uint)index];
    }

    public void Set(int offset, params byte[] bytes) => bytes.CopyTo(Config.AsSpan(offset));

    public uint Dword(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(offset));

    public int Reset()
    {
        Log.Add("reset");
        return 0;
    }

    public VfioRegion Region(uint index) => _regions.TryGetValue(index, out byte[]? bytes) ? new VfioRegion((ulong)bytes.Length, (ulong)index << 40, []) : new VfioRegion(0, 0, []);

    public bool TryRead(VfioRegion region, ulong offset, int width, out ulong value)
    {
        value = 0;
        byte[] bytes = _regions[(uint)(region.Offset >> 40)];
        if (offset + (ulong)width > (ulong)bytes.Length) return false;
        for (int i = 0; i < width; i++) value |= (ulong)bytes[(int)offset + i] << (8 * i);
        return true;
    }

    public bool TryWrite(VfioRegion region, ulong offset, int width, ulong value)
    {
        byte[] bytes = _regions[(uint)(region.Offset >> 40)];
        if (offset + (ulong)width > (ulong)bytes.Length) return false;
        for (int i = 0; i < width; i++) bytes[(int)offset + i] = (byte)(value >> (8 * i));
        return true;
    }

    public nint Map(VfioRegion region, ulong offset, ulong length) => 0;

    public uint InterruptCount(VfioAbi.IrqIndex index, out bool fixedSize)
    {
        fixedSize = FixedSize;
        return index == VfioAbi.IrqIndex.Msix ? Vectors : 1;
    }

    public int Connect(VfioAbi.IrqIndex index, uint start, ReadOnlySpan<int> events)
    {
        Log.Add($"{index} {start}+{events.Length}");
        return 0;
    }

    public int Disconnect(VfioAbi.IrqIndex index)
    {
        Log.Add($"{index} off");
        return 0;
    }

    public int Unmask(VfioAbi.IrqIndex index)
    {
        Log.Add($"{index} unmask");
        return 0;
    }

    public void Dispose() => Log.Add("closed");
}
