using MicroVm.Bus;
using MicroVm.Memory;

namespace MicroVm.Devices;

public sealed partial class VirtioMmio
{
    internal const int Queues = 3;
    private const ulong Offered = 0x1_3000_0220;

    internal VirtioMmio(ResidentPage? page = null)
    {
        Initialize(page, Queues);
        for (int i = 0; i < Queue.Length; i++) Queue[i].MaxSize = 256;
        PublishResident();
    }

    internal ResidentPage Page => _page;

    internal ulong Accepted { get; private set; }

    internal uint Notified { get; private set; } = uint.MaxValue;

    internal uint Raise(uint bits) => RaiseInterruptStatus(bits);

    private partial uint ReadDeviceId() => VirtioRng.DeviceId;

    private partial uint ReadDeviceFeatures() => _r.DeviceFeaturesSel switch { 0 => unchecked((uint)Offered), 1 => (uint)(Offered >> 32), _ => 0 };

    private partial void AckFeatures(uint value)
    {
        if (_r.DriverFeaturesSel == 0) Accepted = (Accepted & 0xffff_ffff_0000_0000) | value;
        else if (_r.DriverFeaturesSel == 1) Accepted = (Accepted & 0xffff_ffff) | ((ulong)value << 32);
    }

    private partial void Notify(uint value) => Notified = value;

    private partial uint WriteStatus(uint old, uint value)
    {
        if (value == 0) ResetRegisters();
        return value;
    }

    private partial uint ReadConfigGeneration() => 7;

    private partial IoStatus WriteConfig(uint offset, int width, ulong value)
    {
        Span<byte> bytes = ConfigBytes;
        for (int i = 0; i < width; i++) bytes[(int)offset + i] = (byte)(value >> (8 * i));
        return IoStatus.Ok;
    }
}

public sealed partial class VirtioBlockConfig
{
    internal VirtioBlockConfig() => Initialize();

    private partial ulong ReadCapacity() => 0x0102_0304_0506_0708;

    private partial uint ReadSegMax() => 254;
}

public sealed partial class VirtioConsoleConfig
{
    internal VirtioConsoleConfig() => Initialize();

    internal uint LastEmergency { get; private set; }

    private partial ushort ReadColumns() => 80;

    private partial ushort ReadRows() => 25;

    private partial void WriteEmergency(uint value) => LastEmergency = value;
}
