using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Block;

/// <summary>Images of other formats, which nobody means to give to a guest as they are.</summary>
internal static class DiskFormat
{
    /// <exception cref="MicroVmException">It is no raw image; says what serves it.</exception>
    internal static void RequireRaw(HostFile file, string path)
    {
        Span<byte> start = stackalloc byte[sizeof(uint)];
        if (file.Read(start, 0) != start.Length || BinaryPrimitives.ReadUInt32LittleEndian(start) != (uint)DiskFormatConst.Qcow2Magic) return;
        throw MicroVmException.Image("cannot use the disk image", $"{path}: it is a qcow2 image",
            $"Serve it: qemu-storage-daemon --blockdev driver=qcow2,node-name=d,file.driver=file,file.filename={path} --export vhost-user-blk,id=e,node-name=d,writable=on,addr.type=unix,addr.path=/tmp/d.sock; and give --disk vhost-user=/tmp/d.sock");
    }
}
