using MicroVm.Devices;
using MicroVm.Memory;

namespace MicroVm.Boot;

/// <summary>What stands where a PC has its BIOS: nine bytes that reset the machine.</summary>
/// <remarks>A kernel on hardware-reduced ACPI restarts through EFI, and where there is none it jumps to the reset vector in real mode
/// (Linux, <c>machine_real_restart</c>). Without code there it would run through memory for ever.</remarks>
internal static class ResetVector
{
    /// <summary>Writes <c>mov dx, port; mov al, value; out dx, al; hlt; jmp hlt</c>.</summary>
    internal static void Write(GuestMemory memory, ushort port, byte value)
    {
        ReadOnlySpan<byte> code = [0xba, (byte)port, (byte)(port >> 8), 0xb0, value, 0xee, 0xf4, 0xeb, 0xfd];
        if (!memory.TryWrite(X86Const.ResetVector, code)) throw new InvalidOperationException("no memory at the reset vector");
    }
}
